// Package rows reads Parquet files of unknown origin, row group by row group, a page at a time, only
// the columns asked for. It is the one place where bytes from outside meet the Parquet library: limits
// are checked before the library allocates, and a panic inside it comes out as an error with its place.
//
// Rows come as plain Go values: nil, bool, int64, float64, string, []any (a list) or Struct.
// Row numbers count from 0 within the file.
package rows
