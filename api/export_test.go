package api

// DecodeBatch is what the fuzzer feeds.
var DecodeBatch = decodeBatch
