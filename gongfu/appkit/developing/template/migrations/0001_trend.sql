-- What the chart shows. Each migration is run once, in the order of the numbers; never change one that was published.
CREATE TABLE trend (
    asset TEXT NOT NULL,
    time INTEGER NOT NULL, -- end of the window, UTC ns
    rms REAL NOT NULL,
    kurtosis REAL NOT NULL,
    PRIMARY KEY (asset, time)
) WITHOUT ROWID;
CREATE INDEX trend_by_time ON trend (time);
