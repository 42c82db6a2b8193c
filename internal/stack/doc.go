// Package stack starts, finds and stops what graft runs beside itself on one machine: Temporal with its Web
// UI, and an S3 server. Both are child processes of the binary graft-stack (deploy/local), listen on loopback
// only and keep their state in one directory:
//
//	temporal.db             SQLite: workflow histories, schedules, search attributes (with -wal and -shm beside it)
//	s3/BUCKET/...           objects are plain files; their metadata are extended attributes
//	s3-credentials.json     made once, mode 0600
//	logs/temporal.log       what the children print; logs/s3.log
//	stack.json              format graft.stack/1: addresses and process ids of the last start
//	lock                    held (flock) by the starting process and by its children
//
// The lock is inherited by the children, so a directory is free only when the last of them is gone. Data survive
// kill -9 of any of these processes: SQLite commits with fsync, and an S3 object appears whole or not at all.
// After a power cut Temporal's file is whole too, but the S3 server leaves the moment of writing to the operating
// system: objects of the last half minute may be missing.
//
// A Temporal or an S3 that the user names (Config.ExternalTemporal, Config.ExternalS3) is used instead, and
// nothing is started for it.
package stack
