// Package stix writes what the hub knows of campaigns and controllers as a
// bundle of STIX 2.1. The same object has the same identifier in every bundle,
// and its time of modification changes only when its content does, so that
// whoever imports bundles gets updates and no duplicates.
//
// A bundle tells nothing of owners and devices: no name, no address of theirs,
// no account that is not a public default, and no text that was written for
// people of the hub. The package reads no clock.
package stix
