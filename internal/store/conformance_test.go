package store

import (
	"testing"
)

// TestConformance runs one suite over every database: what the rest of Pursestring
// may rely on, whatever is behind it.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance(t, open)
		})
	}
}

func conformance(t *testing.T, open func(testing.TB) *DB) {
	for name, test := range map[string]func(*testing.T, *DB){
		"create":                  testCreate,
		"create fills gaps":       testCreateFillsGaps,
		"create again":            testCreateAgain,
		"create refuses":          testCreateRefuses,
		"create after delete":     testCreateAfterDelete,
		"rules survive":           testRulesSurvive,
		"inherited spend":         testInheritedSpend,
		"put budget":              testPutBudget,
		"put budget refuses":      testPutBudgetRefuses,
		"put budget, other rule":  testPutBudgetNewRule,
		"put budget, window over": testPutBudgetAfterWindowEnd,
		"put tenant":              testPutTenant,
		"delete":                  testDelete,
		"keys":                    testKeys,
		"overrides":               testOverrides,
		"overrides refuse":        testOverridesRefuse,
		"overrides in a row":      testOverridesInARow,
		"override race":           testOverrideRace,
		"reset":                   testReset,
		"reset, clock behind":     testResetClockBehind,
		"roll":                    testRoll,
		"roll over many":          testRollOverMany,
		"roll after spend":        testRollAfterSpend,
		"roll race":               testRollRace,
		"due":                     testDue,
		"spend":                   testSpend,
		"spend without a window":  testSpendWithoutWindow,
		"spend without a tenant":  testSpendWithoutTenant,
		"unresolved":              testUnresolved,
		"pages":                   testPages,
		"search":                  testSearch,
		"count":                   testCount,
		"changes":                 testChanges,
		"changes in pages":        testChangesInPages,
		"changes are pruned":      testChangesArePruned,
		"alerts":                  testAlerts,
		"audit":                   testAudit,
		"hostile texts":           testHostileTexts,
		"all or nothing":          testAllOrNothing,
		"cancelled in between":    testCancelledInBetween,
		"not there":               testNotThere,
		"readers and writers":     testReadersAndWriters,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}
