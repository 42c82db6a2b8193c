package hf

import (
	"fmt"
	"strings"
)

// strftimeNow formats Now by the directives that chat templates use, in English as the C locale does.
func (t *Template) strftimeNow(format string) (string, error) {
	layouts := map[byte]string{
		'd': "02", 'm': "01", 'Y': "2006", 'y': "06", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday",
		'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'j': "002", 'F': "2006-01-02", 'Z': "MST",
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		layout, ok := layouts[format[i]]
		switch {
		case format[i] == '%':
			b.WriteByte('%')
		case ok:
			b.WriteString(t.Now.Format(layout))
		default:
			return "", fmt.Errorf("strftime_now: %%%c is not covered", format[i])
		}
	}
	return b.String(), nil
}
