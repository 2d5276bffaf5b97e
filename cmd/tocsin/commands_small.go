//go:build small

package main

import "github.com/spf13/cobra"

// fullCommands are none in the small build, which is for devices.
func fullCommands() []*cobra.Command { return nil }
