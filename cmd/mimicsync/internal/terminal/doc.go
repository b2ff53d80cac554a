// Package terminal is everything that a person sees: results on standard output; errors,
// hints, progress and questions on standard error. Names and messages of servers are quoted
// where a terminal would obey them.
package terminal
