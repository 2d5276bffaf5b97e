// Package keys is who is who between a hub and its devices, and which keys a
// device believes. It holds the hub's certificate authority ([Authority]), a
// device's own key and certificate ([Identity]), the text by which a device
// enrols ([Token]), the hub's signing keys under The Update Framework
// ([Repository], [Trust], [OfflineKey]), and the key that an owner's devices
// share without the hub ([OwnerKey]).
//
// It promises that a device accepts nothing from a hub whose authority it did
// not pin, no certificate and no signing key that the pinned root does not
// vouch for, and nothing older than what it had; and that a private key is
// written only into its own folder, readable by its user alone, whole or not at
// all.
//
// It opens no port and asks nobody: tokens, devices and revocations are kept by
// the hub. Times are handed in ([Clock]), because the clock of a small device
// may be anywhere.
package keys
