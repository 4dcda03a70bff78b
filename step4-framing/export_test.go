package echo

// Process hands process over to the tests, which are a package of their own.
var Process = process
