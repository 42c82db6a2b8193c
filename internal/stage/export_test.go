package stage

var Short = short

var Compare = compare
