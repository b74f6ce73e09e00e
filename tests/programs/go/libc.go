//go:build cgo

// Makes a program need libc.so.6.
package main

import "C"
