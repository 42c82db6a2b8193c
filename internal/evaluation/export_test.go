package evaluation

// MaxUnits is where rows begin to be drawn in blocks.
const MaxUnits = maxUnits
