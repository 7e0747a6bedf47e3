-- Monitors of plants, what they learnt, and what their page shows. Times are UTC ns.
CREATE TABLE monitor (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    asset TEXT NOT NULL, -- where statistics are written and alarms are raised
    point TEXT NOT NULL, -- glob over the points below it
    period INTEGER NOT NULL, -- ns between samples
    state TEXT NOT NULL, -- new, asked, watching or failed
    detail TEXT NOT NULL DEFAULT '',
    asked_from INTEGER, -- period of normal operation to learn from
    asked_to INTEGER,
    trained BLOB,
    summary TEXT NOT NULL DEFAULT '{}', -- JSON: what was learnt, for people
    position INTEGER, -- sample times before it are judged
    carried BLOB,
    run TEXT NOT NULL DEFAULT '{}' -- JSON: state of the alarm
);
CREATE TABLE variable (
    monitor INTEGER NOT NULL REFERENCES monitor (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    asset TEXT NOT NULL,
    point TEXT NOT NULL,
    unit TEXT NOT NULL,
    interval INTEGER NOT NULL, -- usual interval of its samples, ns
    used INTEGER NOT NULL, -- place among the variables that are used, or -1
    reason TEXT NOT NULL DEFAULT '', -- why it is left out
    PRIMARY KEY (monitor, place)
) WITHOUT ROWID;
CREATE TABLE sample (
    monitor INTEGER NOT NULL REFERENCES monitor (id) ON DELETE CASCADE,
    time INTEGER NOT NULL,
    t2 REAL NOT NULL,
    q REAL NOT NULL,
    score REAL NOT NULL, -- the index: above 1 is unusual
    parts TEXT NOT NULL, -- JSON: [place, contribution, departure] of the greatest contributions
    PRIMARY KEY (monitor, time)
) WITHOUT ROWID;
CREATE TABLE alarm (
    monitor INTEGER NOT NULL REFERENCES monitor (id) ON DELETE CASCADE,
    began INTEGER NOT NULL,
    ended INTEGER, -- NULL while it stands
    text TEXT NOT NULL,
    PRIMARY KEY (monitor, began)
) WITHOUT ROWID;
