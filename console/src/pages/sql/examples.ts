/** Statements to start from; the key is that of their name in the words of the page. */
export const EXAMPLES: { word: string; text: string }[] = [
  {
    word: 'ex_latest',
    text: 'SELECT asset, point, any(unit) AS unit, max(time) AS last, argMax(value, time) AS value\nFROM points\nGROUP BY asset, point\nORDER BY asset, point\nLIMIT 200',
  },
  {
    word: 'ex_hourly',
    text: "SELECT toStartOfHour(time) AS hour, count() AS n, min(value) AS low, avg(value) AS mean, max(value) AS high\nFROM points\nWHERE asset = 'tep/reactor' AND point = 'pressure' AND quality < 128\nGROUP BY hour\nORDER BY hour",
  },
  {
    word: 'ex_quality',
    text: 'SELECT asset, point, countIf(quality >= 128) AS bad, count() AS n\nFROM points\nGROUP BY asset, point\nHAVING bad > 0\nORDER BY bad DESC\nLIMIT 50',
  },
  {
    word: 'ex_rate',
    text: 'SELECT toStartOfMinute(time) AS minute, count() AS n\nFROM points\nWHERE time > now() - INTERVAL 1 HOUR\nGROUP BY minute\nORDER BY minute',
  },
  {
    word: 'ex_pair',
    text: "SELECT toStartOfMinute(time) AS minute,\n       avgIf(value, point = 'pressure') AS pressure,\n       avgIf(value, point = 'temperature') AS temperature\nFROM points\nWHERE asset = 'tep/reactor' AND point IN ('pressure', 'temperature') AND time > now() - INTERVAL 1 HOUR\nGROUP BY minute\nORDER BY minute",
  },
]
