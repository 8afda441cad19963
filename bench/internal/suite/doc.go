// Package suite starts the contenders, plays the scenarios and writes the report.
//
// Each contender is a process of its own between the same generator and the same
// upstream, so that its CPU and memory are its own. Contenders take turns, round
// by round, and what is compared is the ratio within a round: another program's
// load, a hot machine or a slow clock then falls on all of them alike.
package suite
