package enforce

import "github.com/pursestring/pursestring/internal/budget"

// ruling is one kind of decision. Rulings are numbered so that the hot path
// counts them by index instead of by three strings.
type ruling uint8

const (
	rulingWithin ruling = iota
	rulingLast
	rulingUnlimited
	rulingOverride
	rulingCostless
	rulingMaster
	rulingUnknown
	rulingStoreDown
	rulingLedgerDown
	rulingOver
	rulingTooLarge
	rulingInUse
	rulingShadowOver
	rulingShadowTooLarge
	rulingShadowInUse
	rulingCount
)

var rulings = [rulingCount]struct {
	verdict budget.Verdict
	reason  budget.Reason
}{
	rulingWithin:         {budget.Allow, budget.WithinBudget},
	rulingLast:           {budget.Allow, budget.LastCall},
	rulingUnlimited:      {budget.Allow, budget.Unlimited},
	rulingOverride:       {budget.Allow, budget.OverrideActive},
	rulingCostless:       {budget.Allow, budget.Costless},
	rulingMaster:         {budget.Allow, budget.MasterKey},
	rulingUnknown:        {budget.FailOpen, budget.UnknownTenant},
	rulingStoreDown:      {budget.FailOpen, budget.StoreDown},
	rulingLedgerDown:     {budget.FailOpen, budget.LedgerDown},
	rulingOver:           {budget.Block, budget.OverBlockPoint},
	rulingTooLarge:       {budget.Block, budget.TooLarge},
	rulingInUse:          {budget.Block, budget.BudgetInUse},
	rulingShadowOver:     {budget.ShadowBlock, budget.OverBlockPoint},
	rulingShadowTooLarge: {budget.ShadowBlock, budget.TooLarge},
	rulingShadowInUse:    {budget.ShadowWait, budget.BudgetInUse},
}
