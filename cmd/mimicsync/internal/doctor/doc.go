// Package doctor finds out why access to a dataset fails. It asks each source whether it
// can be reached, who the user is to it and whether they may read the dataset, and tries
// out the folder of the mirror. Every failed check comes with its cure.
package doctor
