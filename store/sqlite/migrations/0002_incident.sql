-- What devices noticed about themselves. No serial is given twice, so that
-- whoever reads on from one misses nothing.
CREATE TABLE clues (
	serial   INTEGER PRIMARY KEY AUTOINCREMENT,
	device   TEXT NOT NULL,
	received INTEGER NOT NULL, -- Unix nanoseconds, by the hub's clock
	row      BLOB NOT NULL
);
CREATE INDEX clues_by_device ON clues (device, serial);
CREATE INDEX clues_by_receipt ON clues (received);

-- The highest clue of each device, kept for ever, as marks is for sightings.
CREATE TABLE clue_marks (
	device  TEXT PRIMARY KEY,
	boot    INTEGER NOT NULL,
	counter INTEGER NOT NULL,
	sum     INTEGER NOT NULL -- checksum of all three
) WITHOUT ROWID;

CREATE TABLE contacts (
	device   TEXT NOT NULL,
	first    INTEGER NOT NULL, -- Unix nanoseconds, by the device's clock
	dest     BLOB NOT NULL,    -- address, port
	protocol INTEGER NOT NULL,
	last     INTEGER NOT NULL,
	row      BLOB NOT NULL,
	PRIMARY KEY (device, first, dest, protocol)
) WITHOUT ROWID;
CREATE INDEX contacts_by_end ON contacts (last);

CREATE TABLE coverage (
	device TEXT NOT NULL,
	stream TEXT NOT NULL,
	row    BLOB NOT NULL,
	PRIMARY KEY (device, stream)
) WITHOUT ROWID;

CREATE TABLE records (
	kind    TEXT NOT NULL,
	id      TEXT NOT NULL,
	version INTEGER NOT NULL,
	row     BLOB NOT NULL, -- when it was changed, and the document
	PRIMARY KEY (kind, id)
) WITHOUT ROWID;
