module github.com/harness/log-service

go 1.26
