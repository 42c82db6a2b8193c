package recipes

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// VersionRef names a published version: team/variant@3, or by alias team/variant@live.
type VersionRef struct {
	Team, Name string
	At         string // alias or version number, "" if none was written
}

// Variant is team/variant.
func (r VersionRef) Variant() string { return r.Team + "/" + r.Name }

// Version is the number after the @; 0 if there is an alias or nothing.
func (r VersionRef) Version() int {
	n, _ := strconv.Atoi(r.At)
	return n
}

func (r VersionRef) String() string {
	if r.At == "" {
		return r.Variant()
	}
	return r.Variant() + "@" + r.At
}

var (
	nameRule    = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)
	aliasRule   = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	versionRule = regexp.MustCompile(`^[1-9][0-9]{0,8}$`)
)

// CheckVariant checks a name of the form team/variant.
func CheckVariant(s string) error {
	team, name, ok := strings.Cut(s, "/")
	if !ok || team == "" || name == "" {
		return fmt.Errorf("must be team/variant (got %s)", quote(s))
	}
	for _, part := range []string{team, name} {
		if !nameRule.MatchString(part) || strings.Contains(part, "..") {
			return fmt.Errorf("%s: must be lower-case letters, digits, and - . _ between them, at most 63 (in %s)", quote(part), quote(s))
		}
	}
	return nil
}

// CheckAlias checks an alias such as candidate or live.
func CheckAlias(s string) error {
	if !aliasRule.MatchString(s) {
		return fmt.Errorf("must be an alias of lower-case letters, digits and -, a letter first (got %s)", quote(s))
	}
	return nil
}

// ParseVersionRef reads team/variant, team/variant@alias or team/variant@number.
func ParseVersionRef(s string) (VersionRef, error) {
	variant, at, has := strings.Cut(s, "@")
	if err := CheckVariant(variant); err != nil {
		return VersionRef{}, err
	}
	if has && !versionRule.MatchString(at) && CheckAlias(at) != nil {
		return VersionRef{}, fmt.Errorf("after @ must stand a version number or an alias (got %s)", quote(at))
	}
	team, name, _ := strings.Cut(variant, "/")
	return VersionRef{Team: team, Name: name, At: at}, nil
}
