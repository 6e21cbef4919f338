package gateway

import "qianzhi/gateway/pay"

// Visits reports whether a payment has a leg at a host, by the routes as they
// are now. A 撤销 or 退货 goes where its original went.
func (rs Routes) Visits(p *pay.Entry, host string) bool {
	for _, s := range rs.steps(p) {
		if s.Host.ID == host {
			return true
		}
	}
	return false
}
