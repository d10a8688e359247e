package logservicev1

// ErrorDomain is the domain of the google.rpc.ErrorInfo in every error of a log
// service. Its reason is the code of a logservice.Kind, in capitals.
const ErrorDomain = "log-service"
