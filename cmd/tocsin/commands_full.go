//go:build !small

package main

import "github.com/spf13/cobra"

// fullCommands are those that a device does not need: the hub and what only it
// needs. The small build (make build SMALL=1) leaves them out.
func fullCommands() []*cobra.Command {
	return []*cobra.Command{
		hubCommand(), upCommand(), simCommand(), demoCommand(), usersCommand(), logCommand(),
		campaignsCommand(), hubControllersCommand(rankCommand()), compromiseCommand(), caseCommand(), flowsCommand(),
	}
}
