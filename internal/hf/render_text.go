package hf

// RenderText is Render without Generated: for what is trained from the end of its prompt on. It renders once, and
// takes templates in which a turn changes with what follows it.
func (t *Template) RenderText(messages []Message, prompt bool) (Rendered, error) {
	return t.render(messages, prompt)
}
