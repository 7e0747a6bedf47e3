"""Functions that a user's SQL may call. All else is refused: what reads files, addresses, settings, other tables'
metadata, dictionaries, the server's state or another user's queries is not here, and what a later engine adds is not
here either.

Names are those of ClickHouse, compared without case.
"""

_SCALAR = """
abs divide divideOrNull ifNotFinite intDiv intDivOrNull intDivOrZero isFinite isInfinite isNaN max2 min2 minus modulo
multiply negate plus positiveModulo mod pmod gcd lcm divideDecimal multiplyDecimal

array arrayAll arrayAvg arrayCompact arrayConcat arrayCount arrayCumSum arrayCumSumNonNegative arrayDifference
arrayDistinct arrayDotProduct arrayElement arrayElementOrNull arrayEnumerate arrayEnumerateUniq arrayExcept arrayExists
arrayFill arrayFilter arrayFirst arrayFirstIndex arrayFirstOrNull arrayFlatten arrayIntersect arrayJoin arrayLast
arrayLastIndex arrayLastOrNull arrayMap arrayMax arrayMin arrayPartialSort arrayPopBack arrayPopFront arrayProduct
arrayPushBack arrayPushFront arrayReverse arrayReverseFill arrayReverseSort arraySlice arraySort arraySplit
arrayStringConcat arraySum arrayUniq arrayUnion arrayWithConstant arrayZip countEqual empty has hasAll hasAny hasSubstr
indexOf length notEmpty range reverse flatten

bitAnd bitCount bitNot bitOr bitShiftLeft bitShiftRight bitTest bitXor

equals greater greaterOrEquals in less lessOrEquals notEquals notIn clamp greatest if least multiIf and not or xor
assumeNotNull coalesce ifNull isNotNull isNull isZeroOrNull nullIf toNullable exists

addDate addDays addHours addInterval addMicroseconds addMilliseconds addMinutes addMonths addNanoseconds addQuarters
addSeconds addWeeks addYears age dateAdd date_add dateDiff date_diff dateName dateSub date_sub dateTrunc date_trunc
dateFormat date_format timestampAdd timestamp_add timestampSub timestamp_sub timestampDiff timestamp_diff date_bin
formatDateTime formatDateTimeInJodaSyntax fromUnixTimestamp from_unixtime makeDate makeDateTime makeDateTime64 monthName
now now64 current_timestamp current_date curdate serverTimezone subDate subtractDays subtractHours subtractInterval
subtractMicroseconds subtractMilliseconds subtractMinutes subtractMonths subtractNanoseconds subtractQuarters
subtractSeconds subtractWeeks subtractYears timeDiff timeSlot timeSlots time_bucket timezone timezoneOf timezoneOffset
toDayOfMonth toDayOfWeek toDayOfYear toDaysInMonth toHour toISOWeek toISOYear toLastDayOfMonth toLastDayOfWeek
toMillisecond toMinute toMonday toMonth toQuarter toRelativeDayNum toRelativeHourNum toRelativeMinuteNum
toRelativeMonthNum toRelativeSecondNum toRelativeWeekNum toRelativeYearNum toSecond toStartOfDay toStartOfFifteenMinutes
toStartOfFiveMinutes toStartOfHour toStartOfISOYear toStartOfInterval toStartOfMicrosecond toStartOfMillisecond
toStartOfMinute toStartOfMonth toStartOfNanosecond toStartOfQuarter toStartOfSecond toStartOfTenMinutes toStartOfWeek
toStartOfYear toTimezone toUnixTimestamp toWeek toYYYYMM toYYYYMMDD toYYYYMMDDhhmmss toYear toYearWeek today yesterday
day dayOfMonth dayOfWeek dayOfYear extract hour minute month quarter second week year last_day to_unixtime
tumble tumbleStart tumbleEnd hop hopStart hopEnd toIntervalDay toIntervalHour toIntervalMicrosecond
toIntervalMillisecond toIntervalMinute toIntervalMonth toIntervalNanosecond toIntervalQuarter toIntervalSecond
toIntervalWeek toIntervalYear

bin char hex unbin unhex base64Decode base64Encode tryBase64Decode base58Encode base58Decode
cityHash64 halfMD5 intHash32 intHash64 jumpConsistentHash MD5 SHA1 SHA224 SHA256 SHA512 sipHash64 xxHash32 xxHash64
CRC32 farmHash64 murmurHash3_64

JSONAllPaths JSONArrayLength JSONExtract JSONExtractArrayRaw JSONExtractBool JSONExtractFloat JSONExtractInt
JSONExtractKeys JSONExtractKeysAndValues JSONExtractRaw JSONExtractString JSONExtractUInt JSONHas JSONKey JSONLength
JSONType JSON_EXISTS JSON_QUERY JSON_VALUE isValidJSON simpleJSONExtractBool simpleJSONExtractFloat
simpleJSONExtractInt simpleJSONExtractRaw simpleJSONExtractString simpleJSONExtractUInt simpleJSONHas toJSONString

map mapAdd mapContains mapContainsKey mapContainsValue mapFilter mapFromArrays mapKeys mapSubtract mapUpdate mapValues

acos acosh asin asinh atan atan2 atanh cbrt cos cosh degrees e erf erfc exp exp10 exp2 factorial hypot intExp10 intExp2
lgamma ln log log10 log1p log2 pi pow power radians sigmoid sign sin sinh sqrt tan tanh tgamma
ceil ceiling floor round roundBankers roundDown roundToExp2 trunc truncate

appendTrailingCharIfAbsent ascii basename compareSubstrings concat concatWithSeparator concat_ws conv
damerauLevenshteinDistance editDistance endsWith initcap initcapUTF8 isValidUTF8 lcase left leftPad leftPadUTF8 leftUTF8
lengthUTF8 char_length character_length lower lowerUTF8 lpad ltrim mid naturalSortKey octet_length regexpExtract repeat
reverseUTF8 right rightPad rightPadUTF8 rightUTF8 rpad rtrim soundex space startsWith startsWithUTF8 substr substring
substringIndex substringUTF8 toValidUTF8 trim trimBoth trimLeft trimRight ucase upper upperUTF8 splitByAlpha
format overlay regexpQuoteMeta replace replaceAll replaceOne replaceRegexpAll replaceRegexpOne translate translateUTF8
countMatches countSubstrings countSubstringsCaseInsensitive extractAll extractAllGroups extractAllGroupsHorizontal
extractAllGroupsVertical extractGroups hasToken ilike like locate match multiSearchAny notILike notLike position
positionCaseInsensitive positionUTF8 instr alphaTokens ngrams splitByChar splitByNonAlpha splitByRegexp splitByString
splitByWhitespace tokens ngramDistance

tuple tupleElement tupleConcat tupleDivide tupleMinus tupleMultiply tupleNegate tuplePlus tupleNames untuple

CAST DATE accurateCast accurateCastOrDefault accurateCastOrNull fromUnixTimestamp64Micro fromUnixTimestamp64Milli
fromUnixTimestamp64Nano fromUnixTimestamp64Second parseDateTime parseDateTime64 parseDateTime64BestEffort
parseDateTimeBestEffort parseDateTimeBestEffortOrNull reinterpret reinterpretAsFloat64 reinterpretAsInt64
reinterpretAsUInt64 toBool toDate toDate32 toDate32OrNull toDateOrNull toDateOrZero toDateTime toDateTime32 toDateTime64
toDateTime64OrNull toDateTimeOrNull toDecimal128 toDecimal256 toDecimal32 toDecimal64 toDecimalString toFixedString
toFloat32 toFloat32OrNull toFloat64 toFloat64OrNull toFloat64OrZero toInt128 toInt16 toInt256 toInt32 toInt32OrNull
toInt64 toInt64OrNull toInt64OrZero toInt8 toLowCardinality toString toTime toUInt128 toUInt16 toUInt256 toUInt32
toUInt32OrNull toUInt64 toUInt64OrNull toUInt8 toUInt8OrNull toUUID toUnixTimestamp64Micro toUnixTimestamp64Milli
toUnixTimestamp64Nano toUnixTimestamp64Second generateUUIDv4

bar byteSize countDigits formatReadableQuantity formatReadableSize formatReadableTimeDelta identity neighbor
parseTimeDelta rowNumberInAllBlocks runningDifference runningDifferenceStartingWithFirstValue toTypeName transform
widthBucket seriesDecomposeSTL seriesFFT seriesOutliersDetectTukey seriesPeriodDetectFFT rand rand64 randCanonical
randNormal randUniform
"""

_AGGREGATE = """
any anyLast any_value anyHeavy approx_top_k approx_top_sum argMax argMin avg avgWeighted boundingRatio
categoricalInformationValue corr corrStable count countDistinct covarPop covarSamp deltaSum deltaSumTimestamp entropy
exponentialMovingAverage exponentialTimeDecayedAvg exponentialTimeDecayedCount exponentialTimeDecayedMax
exponentialTimeDecayedSum first_value last_value groupArray groupArrayLast groupArrayMovingAvg groupArrayMovingSum
groupArraySample groupArraySorted groupBitAnd groupBitOr groupBitXor groupConcat groupUniqArray histogram
intervalLengthSum kurtPop kurtSamp kolmogorovSmirnovTest largestTriangleThreeBuckets lttb mannWhitneyUTest max
maxIntersections median medianExact min quantile quantileDD quantileDeterministic quantileExact quantileExactHigh
quantileExactLow quantileInterpolatedWeighted quantileTDigest quantileTiming quantiles quantilesExact quantilesTDigest
quantilesTiming rankCorr simpleLinearRegression singleValueOrNull skewPop skewSamp std stddev stddevPop stddev_pop
stddevSamp stddev_samp stochasticLinearRegression studentTTest sum sumCount sumKahan sumMap sumWithOverflow topK
topKWeighted uniq uniqCombined uniqCombined64 uniqExact uniqHLL12 varPop var_pop varSamp var_samp welchTTest
windowFunnel sequenceCount sequenceMatch retention
dense_rank denseRank lag lagInFrame lead leadInFrame nonNegativeDerivative nth_value ntile percent_rank percentRank rank
row_number cume_dist exponentialTimeDecayed
"""

_TABLE = "numbers numbers_mt zeros generate_series generateSeries"

# Combinators that may follow the name of an aggregate function.
_COMBINATORS = ("if", "array", "map", "distinct", "ordefault", "ornull", "resample", "foreach", "argmin", "argmax")

# Words that stand before a bracket in SQL and are no function.
_WORDS = """
all and any anti array as asc asof between by case cross cube desc distinct else end except exists explain fill filter
following from full global group grouping having ilike in inner intersect interval is join last left like limit not null
nulls offset on or order outer over partition preceding qualify range recursive regexp replace right rollup rows select
semi sets step then ties to totals union using values when where window with within
"""

SCALARS = frozenset(name.lower() for name in _SCALAR.split())
AGGREGATES = frozenset(name.lower() for name in _AGGREGATE.split())
TABLE_FUNCTIONS = frozenset(name.lower() for name in _TABLE.split())
WORDS = frozenset(_WORDS.split())


def is_allowed(name: str) -> bool:
    """Return whether a scalar, aggregate or window function may be called."""
    name = name.lower()
    if name in SCALARS or name in AGGREGATES:
        return True
    for combinator in _COMBINATORS:
        if name.endswith(combinator) and len(name) > len(combinator) and is_aggregate(name.removesuffix(combinator)):
            return True
    return False


def is_aggregate(name: str) -> bool:
    """Return whether a name is an allowed aggregate function, with combinators or without."""
    return name in AGGREGATES or any(
        name.endswith(combinator) and len(name) > len(combinator) and is_aggregate(name.removesuffix(combinator))
        for combinator in _COMBINATORS
    )
