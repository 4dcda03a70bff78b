// Package tests has no program: see its test, which tests the server and client
// of step 4 without a fixed port, without a pause, and without a process.
package tests
