package recipes

// For tests of the hints: every name that they give must lead somewhere.
var (
	ForeignNames  = foreignNames
	LaterNames    = laterNames
	RefusedValues = refusedValues
	Paths         = func() []string { return paths(Recipe{}) }
	CheckCron     = checkCron
	Secrets       = func(text string) Faults { return secrets("x", text) }
)
