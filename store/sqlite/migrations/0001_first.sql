-- What people need not ask for by a column is one blob, its checksum at the end.

-- The newest serial and time given, and how many events there are: both outlive
-- the events themselves.
CREATE TABLE head (
	id     INTEGER PRIMARY KEY CHECK (id = 1),
	serial INTEGER NOT NULL,
	at     INTEGER NOT NULL,
	events INTEGER NOT NULL
);
INSERT INTO head VALUES (1, 0, -9223372036854775808, 0);

-- at is Unix nanoseconds and grows with serial, so that it needs no index.
CREATE TABLE events (
	serial INTEGER PRIMARY KEY,
	at     INTEGER NOT NULL,
	kind   INTEGER NOT NULL, -- 1 sighting, 2 order, 3 loss
	source BLOB NOT NULL,    -- the masked prefix: address, number of bits
	row    BLOB NOT NULL
);
-- By source, but within blocks of 16,384 events: sources come in no order, so an
-- index over all of them would have every commit write as many pages as rows.
CREATE INDEX events_by_source ON events (serial >> 14, source);

-- The highest sighting of each device, kept for ever: what repeats are recognised by.
CREATE TABLE marks (
	device  TEXT PRIMARY KEY,
	boot    INTEGER NOT NULL,
	counter INTEGER NOT NULL,
	sum     INTEGER NOT NULL -- checksum of all three
) WITHOUT ROWID;

CREATE TABLE tokens (
	hash  BLOB PRIMARY KEY,
	until INTEGER NOT NULL, -- Unix seconds
	spent INTEGER NOT NULL DEFAULT 0,
	row   BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX tokens_by_end ON tokens (until);

CREATE TABLE devices (id TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE states (id TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;

-- Signed by the hub, so damage shows without a checksum of ours.
CREATE TABLE frames (
	list   TEXT NOT NULL,
	epoch  INTEGER NOT NULL,
	serial INTEGER NOT NULL,
	made   INTEGER NOT NULL, -- Unix nanoseconds
	sealed BLOB NOT NULL,
	PRIMARY KEY (list, epoch, serial)
);
CREATE TABLE snapshots (
	list   TEXT PRIMARY KEY,
	epoch  INTEGER NOT NULL,
	serial INTEGER NOT NULL,
	made   INTEGER NOT NULL,
	sealed BLOB NOT NULL
);

CREATE TABLE named (name TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE accesses (hash BLOB PRIMARY KEY, name TEXT NOT NULL UNIQUE, row BLOB NOT NULL) WITHOUT ROWID;
