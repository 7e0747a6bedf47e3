-- What the page shows: hours of each signal and its alarms. Times are UTC ns.
CREATE TABLE hour (
    asset TEXT NOT NULL,
    point TEXT NOT NULL,
    time INTEGER NOT NULL, -- end of the hour
    mean REAL NOT NULL,
    score REAL NOT NULL, -- in parts of the limit, negative for low
    low REAL, -- what is passed once in two months; NULL during the warm-up
    high REAL,
    PRIMARY KEY (asset, point, time)
) WITHOUT ROWID;
CREATE TABLE alarm (
    asset TEXT NOT NULL,
    point TEXT NOT NULL,
    side TEXT NOT NULL, -- low or high
    began INTEGER NOT NULL,
    ended INTEGER, -- NULL while it stands
    text TEXT NOT NULL,
    PRIMARY KEY (asset, point, side, began)
) WITHOUT ROWID;
CREATE TABLE signal (
    asset TEXT NOT NULL,
    point TEXT NOT NULL,
    unit TEXT NOT NULL,
    first INTEGER NOT NULL, -- end of the first hour
    last INTEGER NOT NULL,
    PRIMARY KEY (asset, point)
) WITHOUT ROWID;
