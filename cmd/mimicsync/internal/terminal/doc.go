// Package terminal is everything that people see: results on standard output; errors,
// hints, progress and questions on standard error. It makes control characters in names and
// messages of servers visible.
package terminal
