package recipes

import (
	"regexp"
	"strings"
)

// A recipe travels in workflow history and lies beside every version it makes, so it must not hold a
// secret, in a comment either: the file's text is searched, not its values.

var secretRules = []struct {
	what string
	re   *regexp.Regexp
}{
	{"an AWS access key", regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"an AWS secret key", regexp.MustCompile(`(?i)secret[_a-z]*\s*[:=]\s*["']?[A-Za-z0-9/+]{40}\b`)},
	{"a Hugging Face token", regexp.MustCompile(`\bhf_[A-Za-z0-9]{20,}`)},
	{"an API key", regexp.MustCompile(`\bsk-[A-Za-z0-9_-]{20,}`)},
	{"a GitHub token", regexp.MustCompile(`\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})`)},
	{"a Slack token", regexp.MustCompile(`\bxox[abprs]-[A-Za-z0-9-]{10,}`)},
	{"a Google API key", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}`)},
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)},
	{"a JSON web token", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}`)},
	{"a password in a URI", regexp.MustCompile(`[a-z][a-z0-9+]*://[^\s/:@"']+:[^\s/@"']+@`)},
}

var (
	dollarBrace = regexp.MustCompile(`\$\{[^}\s]*\}?`)
	secretRef   = regexp.MustCompile(`^\$\{secret:[A-Za-z_][A-Za-z0-9_]*\}$`)
)

// redact covers what looks like a secret in a message.
func redact(msg string) string {
	for _, rule := range secretRules {
		msg = rule.re.ReplaceAllString(msg, "(secret)")
	}
	return msg
}

// secrets finds literal secrets and ${…} in a text. A fault never repeats what it found.
func secrets(file, text string) Faults {
	var faults Faults
	for i, line := range strings.Split(text, "\n") {
		add := func(at int, msg string) {
			faults = append(faults, Fault{Pos: Pos{file, i + 1, len([]rune(line[:at])) + 1}, Msg: msg})
		}
		for _, rule := range secretRules {
			if m := rule.re.FindStringIndex(line); m != nil {
				add(m[0], "this looks like "+rule.what+": recipes are stored with every run, so remove it (and revoke it if it is real)")
			}
		}
		code, _, _ := strings.Cut(line, " #")
		if strings.HasPrefix(strings.TrimSpace(code), "#") {
			continue
		}
		for _, m := range dollarBrace.FindAllStringIndex(code, -1) {
			if secretRef.MatchString(code[m[0]:m[1]]) {
				add(m[0], "no field takes a secret yet: workers read credentials for S3 from their own environment")
			} else {
				add(m[0], "a secret is written as ${secret:NAME}; nothing else is substituted")
			}
		}
	}
	return faults
}
