// Package archive keeps records that hardly ever change, such as journal entries
// and resolved charges, in sorted, compressed files outside of the database. A
// record costs a tenth of the CPU time and a third of the disk that it costs there.
//
// Each flush of the store writes one file, a run. Runs are merged in the background,
// so that there are few of them. A run is never changed; its checksums are compared
// whenever it is read. If a record is in several runs, that of the newest counts.
package archive
