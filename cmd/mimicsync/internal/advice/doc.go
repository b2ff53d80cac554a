// Package advice says what people can do about an error, and with which exit code the
// program ends. A denial of access, a full disk, a proxy on the way: each has its advice
// here, as the page to open or the command to type.
package advice
