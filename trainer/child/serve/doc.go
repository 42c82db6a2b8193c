// Package serve is the trainer child's side of graft.trainer/1: it reads jobs from its standard input, does
// them one after another over a base that stays resident, and tells how it goes on its standard output.
// It ends when its input does.
package serve
