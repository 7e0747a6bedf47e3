-- What the page shows, and the nameplates that people gave. Times are UTC ns.
CREATE TABLE nameplate (
    asset TEXT PRIMARY KEY,
    document TEXT NOT NULL -- JSON
) WITHOUT ROWID;
CREATE TABLE figure (
    asset TEXT NOT NULL,
    time INTEGER NOT NULL, -- end of the window
    speed REAL NOT NULL,
    flow REAL NOT NULL,
    head REAL,
    expected_head REAL,
    efficiency REAL,
    expected_efficiency REAL,
    energy REAL,
    npsh REAL,
    required_npsh REAL,
    leakage REAL,
    kv REAL,
    expected_kv REAL,
    sigma REAL,
    PRIMARY KEY (asset, time)
) WITHOUT ROWID;
CREATE TABLE finding (
    asset TEXT NOT NULL,
    key TEXT NOT NULL,
    began INTEGER NOT NULL,
    ended INTEGER, -- NULL while it stands
    text TEXT NOT NULL,
    PRIMARY KEY (asset, key, began)
) WITHOUT ROWID;
