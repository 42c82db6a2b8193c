package hf

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// list is a list as Jinja has it: the engine's own (v2.9.1) give nothing for x[-1] when there is one item, and
// text.split(tag)[-1] is in every template that knows of thoughts.
type list []any

// GetItem is x[key].
func (l list) GetItem(key any) (*exec.Value, bool) {
	i, ok := key.(int)
	if i < 0 {
		i += len(l)
	}
	if !ok || i < 0 || i >= len(l) {
		return exec.AsValue(nil), false
	}
	return exec.AsValue(l[i]), true
}

// stringMethods are the methods of str that templates may call.
const stringMethods = `capitalize capwords casefold center count encode endswith expandtabs find format format_map
	isalnum isalpha isascii isdecimal isdigit islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip
	partition removeprefix removesuffix replace rfind rjust rpartition rsplit rstrip split splitlines startswith strip
	swapcase title upper zfill`

// methods are the engine's, with split as Python has it and lists made ours.
func methods() exec.Methods {
	all := builtins.Methods
	strs := map[string]exec.Method[string]{}
	for _, name := range strings.Fields(stringMethods) {
		if method, ok := all.Str.Get(name); ok {
			strs[name] = relisted(method)
		}
	}
	strs["split"] = pythonSplit(strings.Index)
	strs["rsplit"] = pythonSplit(strings.LastIndex)
	all.Str = exec.NewMethodSet(strs)
	return all
}

// relisted makes the list that a method gives ours.
func relisted(method exec.Method[string]) exec.Method[string] {
	return func(self string, value *exec.Value, args *exec.VarArgs) (any, error) {
		result, err := method(self, value, args)
		parts := reflect.ValueOf(result)
		if err != nil || !parts.IsValid() || parts.Kind() != reflect.Slice {
			return result, err
		}
		l := make(list, parts.Len())
		for i := range l {
			l[i] = parts.Index(i).Interface()
			if part := parts.Index(i); part.Kind() == reflect.String {
				l[i] = part.String()
			}
		}
		return l, nil
	}
}

// pythonSplit is str.split or, with find looking from the end, str.rsplit: at most maxsplit cuts, all when it is
// negative; without sep at runs of white space.
func pythonSplit(find func(s, sep string) int) exec.Method[string] {
	return func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		var sep *exec.Value
		maxsplit := -1
		if err := args.Take(
			exec.KeywordArgument("sep", exec.AsValue(nil), func(v *exec.Value) error { sep = v; return nil }),
			exec.KeywordArgument("maxsplit", exec.AsValue(-1), exec.IntArgument(&maxsplit)),
		); err != nil {
			return nil, err
		}
		var parts []string
		switch {
		case sep.IsNil() && maxsplit >= 0:
			return nil, errors.New("split: maxsplit without sep is not covered")
		case sep.IsNil():
			parts = strings.Fields(self)
		case !sep.IsString() || sep.String() == "":
			return nil, errors.New("split: sep must be a string that is not empty")
		default:
			parts = cuts(self, sep.String(), maxsplit, find)
		}
		l := make(list, len(parts))
		for i, part := range parts {
			l[i] = part
		}
		return l, nil
	}
}

func cuts(s, sep string, most int, find func(s, sep string) int) []string {
	var parts []string
	fromEnd := find("aa", "a") == 1
	for most < 0 || len(parts) < most {
		i := find(s, sep)
		if i < 0 {
			break
		}
		part, rest := s[:i], s[i+len(sep):]
		if fromEnd {
			part, rest = rest, part
		}
		parts, s = append(parts, part), rest
	}
	parts = append(parts, s)
	if fromEnd {
		slices.Reverse(parts)
	}
	return parts
}
