// Package doctor finds out why access to a dataset fails. It checks for each source whether
// it can be reached, who the user is to it and whether they have access to the dataset, and
// tests the folder of the mirror. Every failed check says what to do.
package doctor
