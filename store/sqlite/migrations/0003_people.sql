-- Who may sign in, who is signed in, who was invited, and what they did.
CREATE TABLE users (name TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE sessions (
	hash BLOB PRIMARY KEY,
	user TEXT NOT NULL,
	made INTEGER NOT NULL, -- Unix nanoseconds
	seen INTEGER NOT NULL,
	row  BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user, made);

CREATE TABLE invitations (
	hash  BLOB PRIMARY KEY,
	user  TEXT NOT NULL,
	until INTEGER NOT NULL, -- Unix seconds
	spent INTEGER NOT NULL DEFAULT 0,
	row   BLOB NOT NULL
) WITHOUT ROWID;

-- Chained by hashes, which package ledger makes.
CREATE TABLE ledger (
	serial INTEGER PRIMARY KEY,
	hash   BLOB NOT NULL,
	row    BLOB NOT NULL
);
