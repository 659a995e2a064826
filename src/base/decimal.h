// Numbers as text for JSON and reports.
#ifndef LOAM_BASE_DECIMAL_H
#define LOAM_BASE_DECIMAL_H

enum { LOAM_DECIMAL_SIZE = 32 };

// The shortest decimal that reads back as `value`, in the C locale's spelling: "0.05", "1e-05"; whole numbers
// below 1e15 have all their digits: "1690". What is
// not finite becomes "null", which is what JSON has for it.
void loam_decimal(double value, char text[LOAM_DECIMAL_SIZE]);

#endif
