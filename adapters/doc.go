// Package adapters is the registry of variants: published adapters, which never change, and the aliases that say which one is in use.
//
// # Keys
//
// A registry is an object store (or a prefix of one):
//
//	variants/TEAM/NAME/versions/3/claim.json                 who may write here: one run
//	variants/TEAM/NAME/versions/3/adapter_config.json        the files of the version: together a directory that PEFT
//	variants/TEAM/NAME/versions/3/adapter_model.safetensors  loads as it is downloaded; others may lie in sub-folders
//	variants/TEAM/NAME/versions/3/README.md
//	variants/TEAM/NAME/versions/3/manifest.json              written last; without it the version does not exist
//	variants/TEAM/NAME/runs/RUN.json                         the manifest of the one version that this run published
//	variants/TEAM/NAME/aliases/live.json                     an alias
//
// Every object is one JSON object with "format"; a reader refuses another name or major version and ignores fields it does not know.
//
// # Format graft.version/1
//
// manifest.json is Manifest: who published what from what, with size and SHA-256 of every file. It never changes. Version numbers
// count from 1 within a variant and are never used twice; a run that died while it published may leave a gap.
//
// # Publishing
//
// A run publishes at most one version of a variant, however often it tries and wherever it dies:
//
//  1. runs/RUN.json exists: it is the manifest; go to 5.
//  2. Take a number: the one this run has claimed, else the next, by creating claim.json with If-None-Match.
//  3. Write the files. A key that holds other bytes (an earlier try of this run wrote them differently) means another number: back to 2.
//  4. Create runs/RUN.json, the manifest, with If-None-Match. This is the commit. The loser of a race takes the winner's manifest.
//  5. Create versions/N/manifest.json with the same bytes.
//
// # Format graft.alias/1
//
// An alias is {format, alias, variant, generation, version, history}. Each move raises the generation by one and is written with If-Match on
// what was read, so that no move is lost or repeated. It says which version its mover expects the alias to be at; if that
// no longer holds, the move is refused with ErrMoved. Rolling back is a move like any other. The history keeps the last moves.
package adapters
