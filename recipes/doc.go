// Package recipes is what a team submits: one YAML file that says which adapter to train over which base,
// from which data, how it is judged and where it is published.
//
// One struct, Recipe, is the whole schema. Its tags hold ranges, choices and defaults; its doc comments
// are the reference page docs/recipe.md and the JSON Schema recipe.schema.json (go generate). Load decodes
// strictly, and reports every fault of a file at once, each with file:line:column and the field's path.
//
// What Load returns is resolved: every default is filled in and Render gives it back as YAML that loads
// to the same Recipe. A field that graft cannot honour yet is refused, never ignored.
package recipes

//go:generate go run ./gen
