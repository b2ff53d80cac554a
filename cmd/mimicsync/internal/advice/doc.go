// Package advice says what a person can do about an error, and with which exit code the
// program ends. A source's refusal, a full disk, a proxy in between: each has its cure
// here, as the page to open or the command to type.
package advice
