package stack

import (
	"context"
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
)

// Attribute is a search attribute: a typed, indexed field of a workflow, a column of the Web UI.
type Attribute struct {
	Name string
	Type enumspb.IndexedValueType
}

// SearchAttributes are those graft sets on its workflows. They are added to the namespace at every start.
func SearchAttributes() []Attribute {
	keyword := enumspb.INDEXED_VALUE_TYPE_KEYWORD
	return []Attribute{
		{"GraftBase", keyword},    // name of the base model
		{"GraftVariant", keyword}, // team/variant
		{"GraftMethod", keyword},  // sft, dpo, ...
		{"GraftPhase", keyword},   // the stage it is in
		{"GraftTeam", keyword},
		{"GraftEvalLoss", enumspb.INDEXED_VALUE_TYPE_DOUBLE}, // held-out loss, nats per token
		{"GraftStep", enumspb.INDEXED_VALUE_TYPE_INT},        // optimiser step
	}
}

// ensureAttributes adds what the namespace of an external Temporal lacks, or says how its owner can.
func ensureAttributes(ctx context.Context, c client.Client, namespace string) error {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("list the search attributes of namespace %s: %w", namespace, err)
	}
	missing := map[string]enumspb.IndexedValueType{}
	var commands []string
	for _, a := range SearchAttributes() {
		if have.CustomAttributes[a.Name] != a.Type {
			missing[a.Name] = a.Type
			commands = append(commands, fmt.Sprintf("temporal operator search-attribute create --namespace %s --name %s --type %s", namespace, a.Name, a.Type))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	if err != nil {
		return mend("namespace %s lacks search attributes and refuses to add them: %w; ask its owner for:\n  %s", namespace, err, strings.Join(commands, "\n  "))
	}
	return nil
}
