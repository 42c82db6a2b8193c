package workflows

import (
	"context"
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// Search attributes: the columns and filters of the run list in the Temporal UI.
var (
	AttrVariant  = temporal.NewSearchAttributeKeyKeyword("GraftVariant")
	AttrBase     = temporal.NewSearchAttributeKeyKeyword("GraftBase")
	AttrMethod   = temporal.NewSearchAttributeKeyKeyword("GraftMethod")
	AttrTeam     = temporal.NewSearchAttributeKeyKeyword("GraftTeam")
	AttrPhase    = temporal.NewSearchAttributeKeyKeyword("GraftPhase")
	AttrEvalLoss = temporal.NewSearchAttributeKeyFloat64("GraftEvalLoss")
	AttrStep     = temporal.NewSearchAttributeKeyInt64("GraftStep")
)

// EnsureSearchAttributes adds to a namespace those that it lacks. It changes nothing when all are there,
// so that a client without the right to add them works too.
func EnsureSearchAttributes(ctx context.Context, c client.Client, namespace string) error {
	there, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list the search attributes of namespace %s: %w", namespace, err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, k := range []temporal.SearchAttributeKey{AttrVariant, AttrBase, AttrMethod, AttrTeam, AttrPhase, AttrEvalLoss, AttrStep} {
		kind, ok := there.GetCustomAttributes()[k.GetName()]
		if ok && kind != k.GetValueType() {
			return fmt.Errorf("search attribute %s of namespace %s: is %s, must be %s", k.GetName(), namespace, kind, k.GetValueType())
		}
		if !ok {
			missing[k.GetName()] = k.GetValueType()
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	if err != nil {
		return fmt.Errorf("add search attributes to namespace %s: %w", namespace, err)
	}
	return nil
}

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
