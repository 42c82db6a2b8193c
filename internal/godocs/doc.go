// Package godocs turns Go's standard library, which any machine with Go has, into data: Load walks GOROOT/src with
// go/parser and go/doc; Extract lists exported symbols with their documentation; Pretraining is the plain text that the
// little base was pretrained on; WriteParquet writes fine-tuning data sets.
//
// All of it is a function of GOROOT's files alone: build constraints are evaluated for linux/amd64 without experiments
// whatever the machine, directories and files are read in lexical order, and nothing is drawn at random.
//
// About one public package in ten is held out (HeldOut): it, what lies below it, and any declaration elsewhere whose
// documentation begins with the same sentence are absent from Pretraining, so that a base can be measured on it. In Go
// 1.27 two sentences of it recur inside other comments: one on hash.Hash's Sum, one on html/template's Lookup.
package godocs
