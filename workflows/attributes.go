package workflows

import (
	"strings"

	"go.temporal.io/sdk/temporal"
)

// Search attributes: the columns and filters of the run list in the Temporal UI. Package internal/stack
// adds them to namespaces.
var (
	AttrVariant  = temporal.NewSearchAttributeKeyKeyword("GraftVariant")
	AttrBase     = temporal.NewSearchAttributeKeyKeyword("GraftBase")
	AttrMethod   = temporal.NewSearchAttributeKeyKeyword("GraftMethod")
	AttrTeam     = temporal.NewSearchAttributeKeyKeyword("GraftTeam")
	AttrPhase    = temporal.NewSearchAttributeKeyKeyword("GraftPhase")
	AttrEvalLoss = temporal.NewSearchAttributeKeyFloat64("GraftEvalLoss")
	AttrStep     = temporal.NewSearchAttributeKeyInt64("GraftStep")
)

// maxKeyword keeps a keyword far below the server's limit of 2 KB for one search attribute.
const maxKeyword = 255

// Listing is what the run list shows of a run from its start.
type Listing struct{ Variant, Base, Method string }

// Attributes are the search attributes of a run in the given phase.
func (l Listing) Attributes(phase string) temporal.SearchAttributes {
	return temporal.NewSearchAttributes(append(l.updates(), AttrPhase.ValueSet(phase))...)
}

func (l Listing) updates() []temporal.SearchAttributeUpdate {
	return []temporal.SearchAttributeUpdate{
		AttrVariant.ValueSet(keyword(l.Variant)),
		AttrBase.ValueSet(keyword(l.Base)),
		AttrMethod.ValueSet(keyword(l.Method)),
		AttrTeam.ValueSet(keyword(team(l.Variant))),
	}
}

func team(variant string) string {
	name, _, _ := strings.Cut(variant, "/")
	return name
}

func keyword(s string) string {
	if len(s) <= maxKeyword {
		return s
	}
	return strings.ToValidUTF8(s[:maxKeyword], "")
}
