package stage

var Short = short
