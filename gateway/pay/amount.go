package pay

import (
	"errors"
	"strconv"
)

// Amount is money in fen, one hundredth of a yuan. It is an integer everywhere
// and never passes through a floating-point number.
type Amount int64

// MaxAmount is the largest amount of one message: twelve digits of fen, the
// width of ISO 8583 field 4.
const MaxAmount Amount = 999_999_999_999

// ErrAmount reports text that is not an amount. The text itself is not part
// of the error, which may reach a log.
var ErrAmount = errors.New("not an amount")

// ParseFen reads 1 to 15 decimal digits as fen: no sign, blanks or point.
func ParseFen(s string) (Amount, error) {
	if len(s) == 0 || len(s) > 15 {
		return 0, ErrAmount
	}
	var a Amount
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, ErrAmount
		}
		a = a*10 + Amount(c)
	}
	if a > MaxAmount {
		return 0, ErrAmount
	}
	return a, nil
}

// ParseYuan reads digits, a point and exactly two decimals ("100.00"), or
// whole yuan without a point ("100"). Anything else, including a third
// decimal, is an error: a fen is never lost by rounding.
func ParseYuan(s string) (Amount, error) {
	n := len(s)
	if n > 3 && s[n-3] == '.' {
		whole, err := ParseFen(s[:n-3])
		if err != nil {
			return 0, err
		}
		cents, err := ParseFen(s[n-2:])
		if err != nil || whole > MaxAmount/100 {
			return 0, ErrAmount
		}
		return whole*100 + cents, nil
	}
	whole, err := ParseFen(s)
	if err != nil || whole > MaxAmount/100 {
		return 0, ErrAmount
	}
	return whole * 100, nil
}

// ParseLi reads digits of li, one tenth of a fen, as some utilities count.
// An amount that is not whole fen is an error.
func ParseLi(s string) (Amount, error) {
	n := len(s)
	if n < 2 || s[n-1] != '0' {
		if s == "0" {
			return 0, nil
		}
		return 0, ErrAmount
	}
	return ParseFen(s[:n-1])
}

// Yuan writes the amount with two decimals, negative amounts with a leading
// minus: 123456 fen is "1234.56".
func (a Amount) Yuan() string { return string(a.AppendYuan(nil)) }

// AppendYuan appends what Yuan returns.
func (a Amount) AppendYuan(dst []byte) []byte {
	if a < 0 {
		dst = append(dst, '-')
		a = -a
	}
	dst = strconv.AppendInt(dst, int64(a/100), 10)
	c := byte(a % 100)
	return append(dst, '.', '0'+c/10, '0'+c%10)
}
