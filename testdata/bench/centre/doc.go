// Package centre holds our terminals against a card centre that shares no code
// with us. It has tests only.
package centre
